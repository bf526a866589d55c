extension Wakeup {
    /// Waits while `condition` holds, which is looked at after each signal, and not beyond `end`.
    package func wait(while condition: () -> Bool, until end: Instant, on loop: Loop) async {
        await waiting(while: condition, until: end, on: loop, signal) { await wait() }
    }
}

extension Gate {
    /// Waits while `condition` holds, which is looked at whenever the gate opens, and not beyond `end`.
    package func wait(while condition: () -> Bool, until end: Instant, on loop: Loop) async {
        await waiting(while: condition, until: end, on: loop, open) { await wait() }
    }
}

private func waiting(
    while condition: () -> Bool, until end: Instant, on loop: Loop, _ signal: @escaping () -> Void,
    _ wait: () async -> Void
) async {
    let deadline = Deadline(on: loop)
    var isOver = false
    deadline.onExpiry = {
        isOver = true
        signal()
    }
    deadline.set(end)
    while condition(), !isOver { await wait() }
    deadline.set(nil)
}
