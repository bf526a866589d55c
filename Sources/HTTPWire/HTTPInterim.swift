/// Interim responses (RFC 9110 §15.2).
package enum HTTPInterim {
    /// Appends `100 Continue`, which asks a client that waits with its body to send it (RFC 9110 §10.1.1).
    package static func appendContinue(to output: inout [UInt8]) { output.append("HTTP/1.1 100 Continue\r\n\r\n") }
}
