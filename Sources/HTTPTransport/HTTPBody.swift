/// Bytes that can be sent as the body of a message.
package protocol HTTPBody {
    /// How many bytes it is.
    var count: Int { get }
    /// Appends all of it.
    func append(to output: inout [UInt8])
    /// All of it in parts, none of them copied.
    var slices: [ArraySlice<UInt8>] { get }
}

extension [UInt8]: HTTPBody {
    package func append(to output: inout [UInt8]) { output.append(contentsOf: self) }

    package var slices: [ArraySlice<UInt8>] { [self[...]] }
}
