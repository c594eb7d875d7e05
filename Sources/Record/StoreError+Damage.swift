import CSQLite
import Glibc

extension StoreError {
    /// Whether the database is damaged: no attempt with it can succeed.
    var isDamage: Bool {
        switch self {
        case .corrupt: true
        case .database(let code, _, _): code & 0xff == SQLITE_CORRUPT || code & 0xff == SQLITE_NOTADB
        default: false
        }
    }

    /// What the operator can do about an errno; empty when that goes without saying.
    static func mend(ofSystem code: Int32) -> String {
        switch code {
        case ENOSPC, EDQUOT: "; make room on its disk"
        case EROFS: "; mount its disk read-write, and see why it was not"
        default: ""
        }
    }

    /// The same of an error of SQLite.
    static func mend(ofDatabase code: Int32) -> String {
        switch code & 0xff {
        case SQLITE_BUSY, SQLITE_LOCKED: "; another program is writing to it: end that program"
        case SQLITE_FULL: "; make room on its disk"
        case SQLITE_READONLY: "; mount its disk read-write, and see why it was not"
        default: ""
        }
    }
}
