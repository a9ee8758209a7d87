/// Which page a path means: `/pair/SECRET` or `/pair/SECRET/wait`, under whatever a proxy leaves before it.
package struct PairingAddress: Sendable, Equatable {
    /// nil: what stands there can't be a secret.
    package let link: PairingLink?
    package let isWaiting: Bool

    package init?(path: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard let index = parts.lastIndex(of: "pair"), parts.count > index + 1 else { return nil }
        let rest = parts[(index + 2)...]
        guard rest.isEmpty || rest.elementsEqual(["wait"]) else { return nil }
        link = PairingLink(parts[index + 1])
        isWaiting = !rest.isEmpty
    }
}
