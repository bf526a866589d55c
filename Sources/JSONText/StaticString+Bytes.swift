extension StaticString {
    /// Hands out the bytes without a copy. `withUTF8Buffer` does too, yet is ready for a literal that is a lone number instead of
    /// text, and costs much more for it; here a lone number stops the process.
    @inline(__always)
    func withBytes<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        body(UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount).span)
    }
}
