import Postgres

/// How an attempt to redeem a prompt's code ended.
package enum ApprovalOutcome: Sendable, Equatable {
    case bound(openID: String, member: String, workspace: String)
    case alreadyBound(openID: String)
    /// Somebody with another open_id has this name.
    case memberTaken(member: String)
    case unknown
    case used
    case expired
    /// The bot is not active.
    case revoked
}

/// Whom a prompt's code would let in.
package struct Applicant: Sendable {
    package enum State: String, Sendable { case open, used, expired, blocked, revoked }

    package let state: State
    package let appID: String
    package let openID: String
    package let agent: String
    package let workspace: String
    /// Who they are already.
    package let member: String?
    /// Where they wrote last before the prompt; nil: not known any more.
    package let chatID: String?
    /// Of the platform's API.
    package let domain: String
    package let sealedSecret: [UInt8]?
    package let sealedKeyID: String?
}

/// How an attempt to redeem a link ended; see gateway.redeem_link.
package enum RedeemOutcome: String, Sendable {
    case bound
    case alreadyBound = "already_bound"
    case unknown, used, expired, blocked, revoked
    case wrongCode = "wrong_code"
    case invitationUsed = "invitation_used"
    case invitationExpired = "invitation_expired"
    case wrongPerson = "wrong_person"
    case memberTaken = "member_taken"
}

/// How people become members. Codes and links are known by their hashes alone.
extension Repository {
    /// - Parameter link: nil: the prompt has a code alone.
    package func makeBindingToken(
        code: SecretHash, link: SecretHash?, openID: String, installation: InstallationID
    ) async throws {
        try await run(
            SQL.makeBindingToken,
            [.int(installation.rawValue), .bytes(code.bytes), .bytes(link?.bytes), .text(openID)])
    }

    /// - Returns: nil: no such code.
    package func applicant(code: SecretHash) async throws -> Applicant? {
        try await run(SQL.findCode, [.bytes(code.bytes)]).first.map { row in
            let state: String = try row.value("state")
            guard let known = Applicant.State(rawValue: state) else {
                throw PostgresError.unexpectedResult("find_code: state \(state)")
            }
            return Applicant(
                state: known, appID: try row.value("app_id"), openID: try row.value("open_id"),
                agent: try row.value("agent"), workspace: try row.value("workspace"),
                member: try row.optional("member"), chatID: try row.optional("chat_id"),
                domain: try row.value("domain"), sealedSecret: try row.optional("sealed_secret"),
                sealedKeyID: try row.optional("sealed_key_id"))
        }
    }

    /// - Parameter isSamePerson: who has this name already, with another open_id, is the same person.
    package func approve(
        code: SecretHash, memberName: String?, isSamePerson: Bool = false
    ) async throws -> ApprovalOutcome {
        let rows = try await run(SQL.approveCode, [.bytes(code.bytes), .text(memberName), .bool(isSamePerson)])
        guard let row = rows.first else { throw PostgresError.unexpectedResult("approve_code: no row") }
        let outcome: String = try row.value("outcome")
        switch outcome {
        case "bound":
            return .bound(
                openID: try row.value("open_id"), member: try row.value("member"), workspace: try row.value("workspace")
            )
        case "already_bound": return .alreadyBound(openID: try row.value("open_id"))
        case "used": return .used
        case "expired": return .expired
        case "revoked": return .revoked
        case "member_taken": return .memberTaken(member: try row.value("member"))
        default: return .unknown
        }
    }

    /// Invites somebody to become this member, with a code that is good once. It replaces unused ones of the same name.
    /// - Parameter openID: nil: whoever has the code.
    /// - Returns: false when there is no such workspace.
    package func inviteMember(
        _ name: String, to workspace: String, openID: String?, code: SecretHash, valid: Duration
    ) async throws -> Bool {
        let rows = try await run(
            SQL.inviteMember,
            [.text(workspace), .text(name), .text(openID), .bytes(code.bytes), .interval(valid)])
        return try rows.first?.value("is_invited") ?? false
    }

    package func findLink(_ link: SecretHash) async throws -> PairingLinkState? {
        let rows = try await run(SQL.findLink, [.bytes(link.bytes)])
        return try rows.first.map { row in
            let state: String = try row.value("state")
            guard let known = PairingLinkState.State(rawValue: state) else {
                throw PostgresError.unexpectedResult("find_link: state \(state)")
            }
            return PairingLinkState(
                state: known, appID: try row.value("app_id"), openID: try row.value("open_id"),
                agent: try row.value("agent"), workspace: try row.value("workspace"),
                locale: InstallationSettings.Locale(rawValue: try row.value("locale")) ?? .en,
                member: try row.optional("member"), triesLeft: try row.value("tries_left"))
        }
    }

    /// The invitations to the workspace of the link, also those that are used or over.
    package func invitations(for link: SecretHash) async throws -> [(id: Int64, code: SecretHash)] {
        try await run(SQL.listInvitations, [.bytes(link.bytes)]).compactMap { row in
            guard let code = SecretHash(stored: try row.value("code_sha256")) else { return nil }
            return (try row.value("invitation"), code)
        }
    }

    /// - Parameter invitation: nil: the code that was given is nobody's.
    package func redeemLink(_ link: SecretHash, invitation: Int64?) async throws -> RedeemOutcome {
        let rows = try await run(SQL.redeemLink, [.bytes(link.bytes), .int(invitation)])
        let text: String? = try rows.first?.value("outcome")
        guard let outcome = text.flatMap(RedeemOutcome.init) else {
            throw PostgresError.unexpectedResult("redeem_link: \(text ?? "no row")")
        }
        return outcome
    }
}
