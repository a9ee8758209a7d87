import Store

/// Pairing.
extension LogEvent {
    static func pairingBound(_ link: PairingLinkState) -> Self {
        Self(.info, "pairing.bound", pairingFields(link))
    }

    static func pairingRefused(_ link: PairingLinkState, reason: String) -> Self {
        Self(.warning, "pairing.refused", pairingFields(link) + [("reason", .text(reason))])
    }

    private static func pairingFields(_ link: PairingLinkState) -> [(key: String, value: Value?)] {
        [("app_id", .text(link.appID)), ("workspace", .text(link.workspace)), ("open_id", .text(link.openID))]
    }
}
