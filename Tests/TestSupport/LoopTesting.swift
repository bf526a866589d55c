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
            loop.stop()
            continuation.resume(returning: result)
        }
    }
    loop.join()
    return try result.get()
}

/// Waits on a loop until `condition` holds. It is looked at whenever `gate` opens.
package func eventually(
    _ what: String, on loop: Loop, _ gate: Gate, within limit: Duration = .seconds(10), _ condition: () -> Bool
) async throws {
    var isOver = false
    let deadline = Deadline(on: loop)
    deadline.onExpiry = {
        isOver = true
        gate.open()
    }
    deadline.set(after: limit)
    defer { deadline.set(nil) }
    while !condition() {
        if isOver { throw TimedOut(what: what) }
        await gate.wait()
    }
}

/// Waits for a time. For what must not happen meanwhile, and never for what must.
package func pause(_ duration: Duration, on loop: Loop) async {
    let gate = Gate()
    let deadline = Deadline(on: loop)
    deadline.onExpiry = { gate.open() }
    deadline.set(after: duration)
    await gate.wait()
    deadline.set(nil)
}
