import SimulatedKernel

/// Somebody who asks on the admin listener, once.
final class PlayedLook: Wire {
    private let model: Model
    private var reader = HTTPReader(ofRequests: false)
    private var kept: PlayedLook?

    init(at port: UInt16, of model: Model, in world: World) {
        self.model = model
        super.init(sim_connect(Run.hostOfClients, port), in: world, isConnected: false)
        kept = self
        // What says how much memory the process has would be another run each time.
        let path = Dice.one(of: ["/healthz", "/readyz", "/", "/nowhere"])
        send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\r\n")
    }

    override func finished() { leave() }
    override func ended() { leave() }

    private func leave() {
        close()
        kept = nil
    }

    override func received(_ bytes: [UInt8]) {
        model.marks(in: bytes) { call in model.violate("an operator was told of call \(call.number)") }
        reader.append(bytes)
        do throws(HTTPReader.Malformed) {
            while isOpen, let part = try reader.next() {
                switch part {
                case .head(let head): model.note("looks: \(head.status)")
                case .body: break
                case .end: return leave()
                }
            }
        } catch {
            model.violate("an operator received what is not HTTP: \(error.what)")
        }
    }
}
