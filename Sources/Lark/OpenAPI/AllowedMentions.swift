/// Whom a text may mention; or, of what an agent wrote, whom it wants to.
package struct AllowedMentions: Sendable, Equatable {
    /// By open_id.
    package let people: Set<String>
    package let everybody: Bool

    package init(people: Set<String>, everybody: Bool) {
        self.people = people
        self.everybody = everybody
    }

    package static let nobody = AllowedMentions(people: [], everybody: false)

    /// How many people one reply may mention: as many as are looked for in the database.
    private static let mostPeople = 64

    /// Whom the mentions of this text name, of which the first 64 people. Not those in code, which mention nobody.
    package init(askedForIn written: String) {
        var people: Set<String> = []
        var everybody = false
        MentionSyntax.forEachID(in: written) { id in
            if id == Self.all {
                everybody = true
            } else if people.count < Self.mostPeople {
                people.insert(id)
            }
        }
        self.init(people: people, everybody: everybody)
    }

    /// The platform's word for everybody.
    private static let all = "all"

    func holds(_ id: String) -> Bool { id == Self.all ? everybody : people.contains(id) }
}
