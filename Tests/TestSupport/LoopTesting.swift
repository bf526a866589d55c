package import Reactor

/// What a test waited for did not happen.
package struct TimedOut: Error {
    package let what: String
}

/// Runs `body` on a loop that has a thread of its own, and ends the loop.
package func withLoop<Value: Sendable>(
    _ body: @escaping @Sendable (Loop) async throws -> Value
) async throws -> Value {
    let loop = Loop()
    loop.runOnNewThread()
    let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
        loop.post {
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(loop))
            } catch {
                result = .failure(error)
            }
            loop.stopLoop()
            continuation.resume(returning: result)
        }
    }
    loop.joinThread()
    return try result.get()
}

/// Waits on a loop until `condition` holds. It is looked at after each signal of `wakeup`.
package func eventually(
    _ what: String, on loop: Loop, _ wakeup: Wakeup, within limit: Duration = .seconds(10), _ condition: () -> Bool
) async throws {
    var isOver = false
    let deadline = Deadline(on: loop)
    deadline.onExpiry = {
        isOver = true
        wakeup.signal()
    }
    deadline.set(after: limit)
    defer { deadline.set(nil) }
    while !condition() {
        if isOver { throw TimedOut(what: what) }
        await wakeup.wait()
    }
}

/// Waits for a time. For what must not happen meanwhile, and never for what must.
package func pause(_ duration: Duration, on loop: Loop) async {
    let wakeup = Wakeup()
    let deadline = Deadline(on: loop)
    deadline.onExpiry = { wakeup.signal() }
    deadline.set(after: duration)
    await wakeup.wait()
    deadline.set(nil)
}
