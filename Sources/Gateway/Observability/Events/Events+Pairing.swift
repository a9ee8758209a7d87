import Store

/// Pairing.
extension LogEvent {
    static func pairingBound(_ link: PairingLinkState) -> Self {
        Self(.info, "pairing.bound", pairingFields(link))
    }

    static func pairingRefused(_ link: PairingLinkState, reason: String) -> Self {
        Self(.warning, "pairing.refused", pairingFields(link) + [("reason", .text(reason))])
    }

    /// A proxy on this machine leaves out whom it speaks for.
    static func pairingClientHidden() -> Self {
        Self(
            .warning, "pairing.client_hidden",
            [
                (
                    "hint",
                    .text(
                        "a request came from this machine without X-Forwarded-For, so that all clients count as one: "
                            + "have the proxy before pairing.listen set it")
                )
            ])
    }

    private static func pairingFields(_ link: PairingLinkState) -> [(key: String, value: Value?)] {
        [("app_id", .text(link.appID)), ("workspace", .text(link.workspace)), ("open_id", .text(link.openID))]
    }
}
