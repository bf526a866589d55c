/// An answer, whole.
struct Response {
    var status = 0
    var closes = false
    var body: [UInt8] = []
}
