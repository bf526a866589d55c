import Reactor
import Translation

/// Makes one notice of those that come several times, from several streams or in a burst. The first is told at once;
/// those that follow within the window are told once, at its end, because what they announce may have happened after
/// the first was acted upon. Without I/O and clock.
struct ChangeNoticeWindow {
    private static let length: Duration = .milliseconds(100)
    /// Windows open at once. Beyond them every notice is told as it comes.
    private static let maxOpen = 256

    private struct Window {
        let end: Instant
        var cameAgain = false
    }

    private var windows: [ChangeNotice: Window] = [:]

    /// Whether a notice is to be told now. If not, `closeWindows` will return it.
    mutating func admitsNotice(_ notice: ChangeNotice, at now: Instant) -> Bool {
        if let window = windows[notice], now < window.end {
            windows[notice]?.cameAgain = true
            return false
        }
        if windows.count < ChangeNoticeWindow.maxOpen { windows[notice] = Window(end: now + ChangeNoticeWindow.length) }
        return true
    }

    /// Closes the windows that have ended. Returns the notices that came again in them: they are to be told now.
    mutating func closeWindows(at now: Instant) -> [ChangeNotice] {
        let ended = windows.filter { $0.value.end <= now }
        for notice in ended.keys { windows[notice] = nil }
        let again = ended.filter(\.value.cameAgain).map(\.key)
        // What is told opens a window anew.
        for notice in again { windows[notice] = Window(end: now + ChangeNoticeWindow.length) }
        return again
    }

    /// When `closeWindows` will have something to do; nil when no window is open.
    var nextEnd: Instant? { windows.values.lazy.map(\.end).min() }
}
