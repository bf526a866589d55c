import Crypto
import Testing

@testable import Gateway

@Suite struct ParkingPlacesTests {
    private let key = HashKey()

    private func principal(_ name: String) -> KeyedHash { key.hash(Array(name.utf8)) }

    private func call(_ number: UInt8) -> CallID { CallID { Array(repeating: number, count: $0) } }

    @Test func aPrincipalHasSoMany() {
        var places = ParkingPlaces(max: 10, maxPerPrincipal: 2)
        #expect(places.takePlace(call(1), for: principal("a")) == .taken(evicted: nil))
        #expect(places.takePlace(call(2), for: principal("a")) == .taken(evicted: nil))
        #expect(places.takePlace(call(3), for: principal("a")) == .full)
        #expect(places.takePlace(call(3), for: principal("b")) == .taken(evicted: nil))
        places.leavePlace(call(1))
        places.leavePlace(call(1))
        #expect(places.takePlace(call(4), for: principal("a")) == .taken(evicted: nil))
        #expect(places.takePlace(call(5), for: principal("a")) == .full)
    }

    @Test func theLongestParkedMakesRoom() {
        var places = ParkingPlaces(max: 4, maxPerPrincipal: 3)
        for (number, name): (UInt8, String) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
            #expect(places.takePlace(call(number), for: principal(name)) == .taken(evicted: nil))
        }
        // As long as each of them has a request that waits, none does.
        #expect(places.takePlace(call(5), for: principal("a")) == .full)
        for number: UInt8 in [2, 4, 3] { places.markSpare(call(number), true) }
        // Of its own, where its share is used up; else of the principal that has the most, and never of one that has less.
        #expect(places.takePlace(call(5), for: principal("a")) == .taken(evicted: call(2)))
        #expect(places.takePlace(call(6), for: principal("c")) == .taken(evicted: call(3)))
        places.markSpare(call(4), false)
        #expect(places.takePlace(call(7), for: principal("c")) == .full)
        places.markSpare(call(4), true)
        #expect(places.takePlace(call(7), for: principal("c")) == .taken(evicted: call(4)))
        places.markSpare(call(6), true)
        #expect(places.takePlace(call(7), for: principal("c")) == .taken(evicted: nil))
        #expect(places.takePlace(call(8), for: principal("a")) == .taken(evicted: call(6)))
    }

    @Test func whoHasMoreTakesNothingFromWhoHasLess() {
        var places = ParkingPlaces(max: 3, maxPerPrincipal: 3)
        for (number, name): (UInt8, String) in [(1, "a"), (2, "a"), (3, "b")] {
            #expect(places.takePlace(call(number), for: principal(name)) == .taken(evicted: nil))
        }
        places.markSpare(call(3), true)
        #expect(places.takePlace(call(4), for: principal("a")) == .full)
        #expect(places.takePlace(call(4), for: principal("b")) == .taken(evicted: call(3)))
    }

    @Test func thereAreSoManyInAll() {
        var places = ParkingPlaces(max: 2, maxPerPrincipal: 2)
        #expect(places.takePlace(call(1), for: principal("a")) == .taken(evicted: nil))
        #expect(places.takePlace(call(2), for: principal("b")) == .taken(evicted: nil))
        #expect(places.takePlace(call(3), for: principal("c")) == .full)
        places.leavePlace(call(2))
        #expect(places.takePlace(call(3), for: principal("c")) == .taken(evicted: nil))
    }

    @Test func whatIsOnlyKeptMakesRoomTheOldestFirst() {
        var places = ParkingPlaces(max: 3, maxPerPrincipal: 2)
        #expect(places.takePlace(call(1), for: principal("a")) == .taken(evicted: nil))
        #expect(places.takePlace(call(2), for: principal("a")) == .taken(evicted: nil))
        #expect(places.takePlace(call(3), for: principal("b")) == .taken(evicted: nil))
        for number: UInt8 in [3, 2, 1] {
            let evicted = places.responseIsKept(call(number), size: 1000)
            #expect(evicted.isEmpty)
        }
        // Of the same principal when that is at its limit, of anybody when all are.
        #expect(places.takePlace(call(4), for: principal("a")) == .taken(evicted: call(2)))
        #expect(places.takePlace(call(5), for: principal("c")) == .taken(evicted: call(3)))
        #expect(places.takePlace(call(6), for: principal("a")) == .taken(evicted: call(1)))
        #expect(places.takePlace(call(7), for: principal("a")) == .full)
    }

    @Test func soManyBytesAreKept() {
        var places = ParkingPlaces(max: 10, maxPerPrincipal: 10)
        for number: UInt8 in 1...6 { _ = places.takePlace(call(number), for: principal("a")) }
        let third = ParkingPlaces.maxKeptBytes / 3
        var evicted = (1...3).map { places.responseIsKept(call($0), size: third) }
        #expect(evicted == [[], [], []])
        // What has left makes room.
        places.leavePlace(call(2))
        evicted = [places.responseIsKept(call(4), size: third), places.responseIsKept(call(5), size: 2 * third)]
        #expect(evicted == [[], [call(1), call(3)]])
        // The last is kept, however large.
        evicted = [places.responseIsKept(call(6), size: 10 * third), places.responseIsKept(call(7), size: third)]
        #expect(evicted == [[call(4), call(5)], []])
    }
}
