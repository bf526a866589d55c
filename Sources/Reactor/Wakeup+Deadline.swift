extension Wakeup {
    /// Waits while `condition` holds, which is looked at after each signal, and not beyond `end`.
    package func wait(while condition: () -> Bool, until end: Instant, on loop: Loop) async {
        let deadline = Deadline(on: loop)
        var isOver = false
        deadline.onExpiry = {
            isOver = true
            self.signal()
        }
        deadline.set(end)
        while condition(), !isOver { await wait() }
        deadline.set(nil)
    }
}
