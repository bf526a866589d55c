/// One event of an event stream (WHATWG HTML §9.2.6).
package struct SSEEvent: Sendable, Equatable {
    /// The value of `event`, or nil if there is none, it is empty, or it is the default, `message`.
    package var type: [UInt8]?

    /// The values of the `data` fields joined with LF. Empty also for an event that has only an `id`.
    package var data: [UInt8]

    /// The value of `id` in this event; empty if it resets the last event ID. Nil if there is none.
    package var id: [UInt8]?

    /// The value of `retry` in this event, in milliseconds.
    package var retry: Int?

    /// An event with these fields.
    package init(type: [UInt8]? = nil, data: [UInt8], id: [UInt8]? = nil, retry: Int? = nil) {
        self.type = type
        self.data = data
        self.id = id
        self.retry = retry
    }
}
