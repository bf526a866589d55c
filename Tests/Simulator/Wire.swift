import SimulatedKernel

/// One end of a connection that a played client or server has.
class Wire {
    let world: World
    private(set) var end: Int32
    /// Whether it reads what comes.
    var isReading = true { didSet { if isReading, !oldValue { readable() } } }
    /// Whether it takes only so many bytes at once, and how long it waits before it takes more.
    var sip: (bytes: Int, pause: Int64)?
    private var output: [UInt8] = []
    private var written = 0
    private var isSipping = false
    private var finishesWhenFlushed = false
    private var closesWhenFlushed = false
    private(set) var isConnected: Bool

    init(_ end: Int32, in world: World, isConnected: Bool) {
        self.end = end
        self.world = world
        self.isConnected = isConnected
        if end >= 0 { world.wires[end] = self }
    }

    var isOpen: Bool { end >= 0 }

    /// Bytes that are here or on their way, and were not read.
    var arriving: Int { isOpen ? Int(sim_arriving(end)) : 0 }

    /// Bytes that the other side has no room for.
    var unsent: Int { output.count - written }

    /// What state it is in, for people.
    var state: String {
        if end < 0 { return "closed" }
        var text = [CChar](repeating: 0, count: 400)
        sim_describe_end(end, &text, text.count)
        let described = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return "\(isReading ? "reading" : "not reading"), \(unsent) unsent, \(described)"
    }

    // MARK: What happens

    func connected() {}
    func received(_ bytes: [UInt8]) {}
    /// The other side sends no more.
    func finished() {}
    /// The connection is broken, or was never made.
    func ended() {}

    // MARK: What is done

    final func send(_ bytes: [UInt8]) {
        guard isOpen else { return }
        if output.isEmpty { output = bytes } else { output += bytes }
        flush()
    }

    final func send(_ text: String) { send(Array(text.utf8)) }

    final func finish() {
        guard isOpen else { return }
        if unsent > 0 { finishesWhenFlushed = true } else { sim_finish(end) }
    }

    final func close() { letGo(sim_close) }

    /// Closes when the other side has room for everything.
    final func closeWhenFlushed() {
        if isOpen, unsent > 0 { closesWhenFlushed = true } else { close() }
    }

    final func reset() { letGo(sim_reset) }

    private func letGo(_ way: (Int32) -> Void) {
        guard isOpen else { return }
        world.wires[end] = nil
        way(end)
        end = -1
        output = []
        written = 0
    }

    private func flush() {
        guard isConnected else { return }
        while isOpen, written < output.count {
            let taken = output.withUnsafeBytes { sim_write(end, $0.baseAddress! + written, $0.count - written) }
            if taken == 0 { return }
            written += taken
        }
        output = []
        written = 0
        if finishesWhenFlushed, isOpen { sim_finish(end) }
        if closesWhenFlushed { close() }
    }

    // MARK: What the world tells

    final func tell(_ kind: sim_kind) {
        switch kind {
        case sim_connected:
            isConnected = true
            flush()
            if isOpen { connected() }
        case sim_readable: if isReading { readable() }
        case sim_writable: flush()
        case sim_finished:
            readRest()
            if isOpen { finished() }
        default:
            readRest()
            if isOpen { ended() }
        }
    }

    /// Reads what there is, however it reads.
    private func readRest() {
        sip = nil
        isSipping = false
        readable()
    }

    private func readable() {
        while isOpen, !isSipping {
            let most = sip?.bytes ?? 64 * 1024
            let bytes = [UInt8](unsafeUninitializedCapacity: 64 * 1024) { buffer, count in
                count = sim_read(end, buffer.baseAddress, most)
            }
            if bytes.isEmpty { return }
            if let sip {
                isSipping = true
                world.after(sip.pause) { [weak self] in
                    self?.isSipping = false
                    if self?.isReading == true { self?.readable() }
                }
            }
            received(bytes)
            if !isReading { return }
        }
    }
}
