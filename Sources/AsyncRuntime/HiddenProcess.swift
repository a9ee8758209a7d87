import CContainment

/// Hides what this process knows (app secrets, the database's URL, messages) from other processes of the same user, and
/// from core files: they can read neither its memory nor its environment (prctl(2), PR_SET_DUMPABLE). Root can.
package enum HiddenProcess {
    /// Before anything secret is read. For all threads, and for good.
    package static func begin() {
        lgw_hide_process()
    }
}
