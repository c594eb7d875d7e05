/// What `--help` prints, level by level.
enum Help {
    static let top = """
        egressd: no process of a training host reaches what no policy allows

        usage:
          egressd run [--config FILE]          the daemon (root)
          egressd sockets [--listen PATH]      makes the daemon's sockets, without any privilege
          egressd boot [--config FILE]         denies everything until the daemon serves (root)
          egressd policy check DIR             are the policies right?
          egressd policy test DIR              do they say what their 'expect' lines say?
          egressd policy compile DIR           the ruleset, as nft text
          egressd policy explain DIR …         may this workload reach that, and why?
          egressd coverage                     what is enforced on this host, and what is not
          egressd ctl COMMAND                  ask and direct the running daemon; see 'egressd ctl --help'
          egressd version [--json]
          egressd help [COMMAND]

        Each command has --help. Exit status: 0 done, 1 the answer is no, 2 usage, 3 the daemon cannot be reached,
        4 not permitted.
        """

    /// What `help COMMAND` prints.
    static let commands = [
        "run": run, "sockets": sockets, "boot": boot, "policy": policy, "coverage": coverage, "ctl": control,
        "version": version,
    ]

    static let version = """
        usage: egressd version [--json]

        Says which version this is.
        """

    static let run = """
        usage: egressd run [--config FILE] [--sockets PATH]

        Loads the configuration (default /etc/egressd/egressd.yaml) and its policies, puts the ruleset in force in the network
        namespace it is started in, and serves until SIGTERM. The ruleset stays when the daemon ends. SIGHUP loads anew.
        Needs root, or CAP_NET_ADMIN and CAP_SYS_PTRACE. With --sockets its TCP and UDP sockets are made by
        'egressd sockets', which listens at that path, and it may be forbidden to make any.
        """

    static let sockets = """
        usage: egressd sockets [--listen PATH]

        Makes TCP and UDP sockets for 'egressd run --sockets PATH', and neither sends nor receives: the daemon itself then
        needs no right to either. Listens on the socket that systemd hands over (egressd-sockets.socket), or at PATH, for
        its own user. Has to be alone in its cgroup: what is sent from there may reach the name servers and nothing else.
        Needs no privilege.
        """

    static let boot = """
        usage: egressd boot [--config FILE] [--undo]

        Puts the ruleset in force without policies and without a daemon, unless it stands already: nothing passes until
        'egressd run' serves. For the time before the network is up; egressd-boot.service does it. Does nothing when the
        configuration says 'mode: observe'. With --undo the ruleset is taken away and nothing is refused any more; that is
        refused while the daemon runs. Needs root, or CAP_NET_ADMIN.
        """

    static let policy = """
        usage:
          egressd policy check [--json] DIR
              Reads every *.yaml; prints errors as file:line:column, and warnings. Status 1 when something is wrong.
          egressd policy test [--json] DIR
              As check, and holds every 'expect' line against the policy.
          egressd policy compile [--config FILE] [--elements] DIR
              Prints the table as nft text; with --elements only the sets that the policies fill.
          egressd policy explain [--json] [--executable PATH] DIR WORKLOAD DESTINATION
              May the workload reach it (203.0.113.9:22, [2001:db8::1]:443/udp, name:443), and what does each rule say?
              With --executable when this program of it asks; else with the programs that rules are for.
          egressd policy explain --policies DIR --batch
              Reads lines {"cgroup": "/a/b", "uid": 1000, "to": "203.0.113.9:22/tcp"}, prints a verdict for each, as JSON.
        """

    static let coverage = """
        usage: egressd coverage [--config FILE] [--json]

        Says what keeps packets in on this host and what does not: the daemon, the kernel, the ways past the rules, other
        services that act for whoever asks them, and the policies. Changes nothing, and works with and without a running
        daemon; without root it says which lines it could not look at. It speaks of the network namespace that it runs in.

        Each line begins with its state:
          enforced   nothing gets out on this way, or what is needed is there
          partly     it holds with a limit, which the next line names
          OPEN       something can get out that no policy allows; the line with the arrow says what to do
          unknown    it could not be looked at
          absent     this host has no such thing now
          residual   a risk that no packet filter takes away

        Processes are looked at as they are now: a job that starts later may have what none has now. Permissions are owner,
        group and mode; access control lists, sudoers, polkit, what a unit's seccomp filter forbids and the rules of
        iptables-legacy are not read. A number in brackets is a row of the table 'What is enforced, and what is not yet' in
        the README (/usr/share/doc/egressd). The configuration is /etc/egressd/egressd.yaml unless --config names another.

        Exit status: 0 nothing is open, 1 something is open or could not be looked at, 2 usage, 4 neither the rules nor the
        processes could be looked at.
        """

    static let control = """
        usage: egressd ctl [--socket PATH] [--json] COMMAND

          status                               how the daemon is
          workloads                            the policies in force
          requests                             what was denied, held or observed, by workload and by address or name
          approve REQUEST --for TIME [--ports PORTS] [--protocol PROTOCOL] [--reason TEXT]
                                               let it pass for a while: 90s, 30m, 2h, 7d. A request by name has two
                                               more: --ports 443 (the default), or 443,8443/udp and so on; --protocol
                                               tls, http, ssh, quic or any (by default tls, and quic over udp)
          grants                               the approvals in force
          revoke GRANT [--reason TEXT]         end an approval and the connections it carried
          names [--workload NAME]              the names that workloads were given addresses for
          log [--follow] [--since TIME] [--workload NAME] [--verdict VERDICT] [--name DOMAIN] [--limit N]
                                               the record; TIME is how far back: 90s, 30m, 2h, 7d
          reload                               read configuration and policies again

        The socket is /run/egressd/control.sock unless --socket or EGRESSD_SOCKET names another. Root may do everything; the
        groups in the configuration's 'roles' may look (viewer) or also approve, revoke and reload (approver). A caller
        inside a workload's cgroup is refused, whatever its user.
        """
}
