internal import Glibc

// Synchronous: with an async main the runtime parks the main thread with an empty signal mask, and a blocked SIGTERM would
// end the process before the loop sees it.
let status = Command.run(Array(CommandLine.arguments.dropFirst()))
let isLost = Command.flush() == .failed
exit(isLost && status == Command.Status.done ? Command.Status.no : status)
