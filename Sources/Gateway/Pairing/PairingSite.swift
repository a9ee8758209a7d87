import AsyncRuntime
import HTTPServer
import Store

/// Answers the requests for pairing pages: a page per link, which the prompt of a stranger carries.
final class PairingSite: Sendable {
    private let repository: Repository
    private let outages: OutageLog
    private let logger: Logger
    private let now: @Sendable () -> ContinuousClock.Instant
    private let guesses = Mutex(WrongGuesses())
    private let hasToldOfProxy = Mutex(false)
    /// Whoever asks for many links gets two looks into the database at a time, and clients take turns.
    private let looks = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 4, perApp: 2, maxWaiting: 4_096))
    /// Behind which the codes of invitations are stored.
    private let keys: Mutex<SealingKeys>

    init(
        repository: Repository, keys: SealingKeys, outages: OutageLog, logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.repository = repository
        self.outages = outages
        self.logger = logger
        self.now = now
        self.keys = Mutex(keys)
    }

    /// Keys have changed, perhaps.
    func update(_ new: SealingKeys) {
        keys.withLock { $0 = new }
    }

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let preferred = Self.preferredLocale(request.headers["accept-language"])
        guard let address = PairingAddress(path: request.path) else {
            return PairingPage.response(.ended(.unknown), preferred, link: nil)
        }
        let client = PairingClient(of: request)
        if client.isHidden { tellOfProxy() }
        do {
            let response = try await answer(request, address, from: client.name, preferred)
            outages.succeeded("pairing_page")
            return response
        } catch {
            outages.failed("pairing_page", error)
            var response = PairingPage.response(.ended(.unavailable), preferred, link: nil)
            response.headers["Retry-After"] = "10"
            return response
        }
    }

    private func answer(
        _ request: HTTPRequest, _ address: PairingAddress, from client: String, _ preferred: PairingText.Locale
    ) async throws -> HTTPResponse {
        guard let link = address.link, let state = try await find(link, for: client) else {
            return wrongLink(client, preferred)
        }
        switch (request.method, address.isWaiting) {
        case ("GET", _), ("HEAD", _):
            let view = Self.view(of: state) ?? Self.openView(state, link, isWaiting: address.isWaiting)
            return PairingPage.response(view, state.locale, link: link)
        case ("POST", false):
            // Who replays a used link hears so, though the page of its person says what has become of them.
            if state.state != .open { return PairingPage.response(Self.ending(state), state.locale, link: link) }
            return try await redeem(link, state, FormBody.value("code", in: request), from: client)
        default:
            var response = PairingPage.response(.ended(.badRequest), state.locale, link: nil)
            response.status = 405
            response.headers["Allow"] = address.isWaiting ? "GET, HEAD" : "GET, HEAD, POST"
            return response
        }
    }

    /// Once.
    private func tellOfProxy() {
        let isFirst = hasToldOfProxy.withLock { hasTold in
            defer { hasTold = true }
            return !hasTold
        }
        if isFirst { logger.log(.pairingClientHidden()) }
    }

    /// A link that is good is looked up and served whatever was counted: behind a proxy that names nobody all clients
    /// are one, and a stranger's guesses must not keep a person out.
    private func find(_ link: PairingLink, for client: String) async throws -> PairingLinkState? {
        try await looks.run(for: ConcurrencyLimit.Caller(place: client, app: "")) { [repository] in
            try await repository.findLink(link.hash)
        }
    }

    private func wrongLink(_ client: String, _ preferred: PairingText.Locale) -> HTTPResponse {
        let wait = guesses.withLock { [now] guesses in
            let now = now()
            guard let wait = guesses.wait(of: client, now) else {
                guesses.record(client, now)
                return nil as Duration?
            }
            return wait
        }
        guard let wait else { return PairingPage.response(.ended(.unknown), preferred, link: nil) }
        var response = PairingPage.response(.ended(.tooManyRequests), preferred, link: nil)
        response.headers["Retry-After"] = "\(Int(wait.seconds.rounded(.up)))"
        return response
    }

    private func redeem(
        _ link: PairingLink, _ state: PairingLinkState, _ text: String?, from client: String
    ) async throws -> HTTPResponse {
        guard let text else { return PairingPage.response(.ended(.badRequest), state.locale, link: nil) }
        guard let code = BindingCode(text) else {
            return PairingPage.response(.form(state, .notACode), state.locale, link: link)
        }
        let given = code.hashes(with: keys.withLock { $0 })
        var found: Int64?
        // All of them, so that the time it takes tells nothing.
        for invitation in try await repository.invitations(for: link.hash) {
            for hash in given where invitation.code == hash { found = invitation.id }
        }
        let outcome = try await repository.redeemLink(link.hash, invitation: found)
        switch outcome {
        case .bound:
            logger.log(.pairingBound(state))
            return PairingPage.redirect(to: link)
        case .alreadyBound: return PairingPage.redirect(to: link)
        case .unknown, .used, .expired, .blocked, .revoked, .wrongCode, .invitationUsed, .invitationExpired,
            .wrongPerson, .memberTaken:
            guesses.withLock { [now] in $0.record(client, now()) }
            logger.log(.pairingRefused(state, reason: outcome.rawValue))
            // Of now: it has a try less, or another tab was faster.
            guard let after = try await repository.findLink(link.hash) else {
                return PairingPage.response(.ended(.unknown), state.locale, link: nil)
            }
            guard after.state == .open, let problem = Self.problem(outcome) else {
                return PairingPage.response(Self.ending(after), state.locale, link: link)
            }
            return PairingPage.response(.form(after, problem), state.locale, link: link)
        }
    }

    private static func problem(_ outcome: RedeemOutcome) -> PairingView.Problem? {
        switch outcome {
        case .wrongCode: .wrongCode
        case .invitationUsed: .invitationUsed
        case .invitationExpired: .invitationExpired
        case .wrongPerson: .wrongPerson
        case .memberTaken: .memberTaken
        case .bound, .alreadyBound, .unknown, .used, .expired, .blocked, .revoked: nil
        }
    }

    /// What to show where there is nothing to do any more; nil: there is.
    private static func view(of state: PairingLinkState) -> PairingView? {
        if let member = state.member, state.state == .open || state.state == .used {
            return .done(state, member: member)
        }
        return state.state == .open ? nil : ending(state)
    }

    private static func openView(_ state: PairingLinkState, _ link: PairingLink, isWaiting: Bool) -> PairingView {
        isWaiting ? .waiting(state, approvalCode: link.approvalCode.description) : .form(state, nil)
    }

    /// Of a link that is not open.
    private static func ending(_ state: PairingLinkState) -> PairingView {
        switch state.state {
        case .open, .used: .ended(.used)
        case .expired: .ended(.expired)
        case .blocked: .ended(.blocked)
        case .revoked: .ended(.revoked)
        }
    }

    /// Chinese or English, by which of them the browser names first.
    private static func preferredLocale(_ header: String?) -> PairingText.Locale {
        for language in (header ?? "").lowercased().utf8.split(separator: UInt8(ascii: ",")) {
            let name = language.drop { $0 == UInt8(ascii: " ") }
            if name.starts(with: "zh".utf8) { return .zh }
            if name.starts(with: "en".utf8) { return .en }
        }
        return .en
    }
}
