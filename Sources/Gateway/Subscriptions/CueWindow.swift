import Reactor
import Translation

/// Makes one cue of those that come several times, from several streams or in a burst. The first is told at once; those
/// that follow within the window are told once, at its end, because what they announce may have happened after the
/// first was acted upon. Without I/O and clock.
struct CueWindow {
    private static let length: Duration = .milliseconds(100)
    /// Windows open at once. Beyond them every cue is told as it comes.
    private static let maxOpen = 256

    private struct Window {
        let end: Instant
        var cameAgain = false
    }

    private var windows: [Cue: Window] = [:]

    /// Whether a cue is to be told now. If not, `close` will return it.
    mutating func admits(_ cue: Cue, at now: Instant) -> Bool {
        if let window = windows[cue], now < window.end {
            windows[cue]?.cameAgain = true
            return false
        }
        if windows.count < CueWindow.maxOpen { windows[cue] = Window(end: now + CueWindow.length) }
        return true
    }

    /// Closes the windows that have ended. Returns the cues that came again in them: they are to be told now.
    mutating func close(at now: Instant) -> [Cue] {
        let ended = windows.filter { $0.value.end <= now }
        for cue in ended.keys { windows[cue] = nil }
        let again = ended.filter(\.value.cameAgain).map(\.key)
        // What is told opens a window anew.
        for cue in again { windows[cue] = Window(end: now + CueWindow.length) }
        return again
    }

    /// When `close` will have something to do; nil when no window is open.
    var nextEnd: Instant? { windows.values.lazy.map(\.end).min() }
}
