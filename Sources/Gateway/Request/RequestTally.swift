/// Where the requests of one loop are counted.
final class RequestTally {
    var counts = RequestCounts()
}
