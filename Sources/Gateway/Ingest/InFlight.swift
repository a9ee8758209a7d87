import struct Synchronization.Atomic

/// How many of something are under way.
final class InFlight: Sendable {
    private let value = Atomic(0)

    var count: Int { value.load(ordering: .acquiring) }

    func begin() { value.add(1, ordering: .acquiringAndReleasing) }

    func end() { value.subtract(1, ordering: .acquiringAndReleasing) }
}
