//! What can fail.

use std::fmt;
use std::time::Duration;

use e2e::{Cut, Mode, Service, Way};

use crate::site::Store;

/// Something that fails for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process dies, and another is started in its place.
    Kill(Service),
    /// All processes die at once.
    KillEverything,
    /// A process is asked to end, and another is started in its place.
    Terminate(Service),
    /// A process stops in its tracks and goes on.
    Freeze(Service),
    /// users-service dies between two steps of taking over what the feed brings.
    DieInTheFeed,
    /// A way out of a process fails.
    Link(Way, Trouble),
    /// Commits are lost, or their acknowledgements.
    LoseCommits(Service, Cut),
    /// Somebody else writes to a service's database.
    Occupy(Service),
    /// Somebody else keeps everybody from reading a service's database.
    Withhold(Service),
    /// All connections of a service to its database end.
    CutConnections(Service),
    /// Connections of clients to a process end in the middle of calls.
    CutClients(Service),
    /// There is no place for a connection to the server of the databases.
    FullConnectionTable,
    /// There is no room to write.
    FullDisk(Service),
    /// The server of PostgreSQL dies and is started again.
    CrashDatabase,
    /// The server of PostgreSQL stops in its tracks and goes on.
    FreezeDatabase,
    /// A process has another time.
    MoveClock(Service),
}

/// How a way fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody is there.
    Refuse,
    /// Nothing comes through until it is mended, and then everything.
    Partition,
    /// The other host is gone: what was said to it is lost.
    Loss,
    /// Connections are reset.
    Reset,
    /// Everything is late, some of it later.
    Delay,
    /// Little comes through at a time.
    Trickle,
    /// What is asked for is done, and no answer comes.
    SwallowReplies,
    /// Nonsense is answered.
    Garbage,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Refuse,
        Self::Partition,
        Self::Loss,
        Self::Reset,
        Self::Delay,
        Self::Trickle,
        Self::SwallowReplies,
        Self::Garbage,
    ];

    /// What a proxy does meanwhile.
    #[must_use]
    pub const fn mode(self) -> Mode {
        match self {
            Self::Refuse => Mode::Refuse,
            Self::Partition | Self::Loss => Mode::BlackHole,
            Self::Reset => Mode::Reset,
            Self::Delay => Mode::Delay { least: Duration::from_millis(20), most: Duration::from_millis(200) },
            Self::Trickle => Mode::Rate(2000),
            Self::SwallowReplies => Mode::SwallowReplies,
            Self::Garbage => Mode::Garbage,
        }
    }
}

impl Fault {
    /// What can fail where data is kept there.
    #[must_use]
    pub fn of(store: Store) -> Vec<Self> {
        let services = [Service::Auth, Service::Users];
        let mut faults = vec![Self::KillEverything, Self::DieInTheFeed];
        for service in services {
            faults.extend([
                Self::Kill(service),
                Self::Terminate(service),
                Self::Freeze(service),
                Self::Occupy(service),
                Self::MoveClock(service),
                Self::CutClients(service),
            ]);
        }
        faults.extend(Trouble::ALL.map(|trouble| Self::Link(Way::ToAuth, trouble)));
        match store {
            Store::Sqlite => {
                faults.extend([Self::FullDisk(Service::Auth), Self::FullDisk(Service::Users)]);
            }
            Store::Postgres => {
                faults.extend([
                    Self::CrashDatabase,
                    Self::FreezeDatabase,
                    Self::FullConnectionTable,
                    Self::FullDisk(Service::Auth),
                ]);
                for service in services {
                    faults.extend([Self::Withhold(service), Self::CutConnections(service)]);
                    let cuts = [Cut::Before, Cut::During, Cut::After, Cut::Silence];
                    faults.extend(cuts.map(|cut| Self::LoseCommits(service, cut)));
                    let troubles = [
                        Trouble::Refuse,
                        Trouble::Partition,
                        Trouble::Loss,
                        Trouble::Reset,
                        Trouble::Delay,
                        Trouble::SwallowReplies,
                    ];
                    faults.extend(troubles.map(|trouble| Self::Link(Way::ToDatabase(service), trouble)));
                }
            }
        }
        faults
    }

    /// How long it is left so, where others are for this long.
    #[must_use]
    pub(super) const fn lasts(self, hold: Duration) -> Duration {
        match self {
            // Long enough for a deadline to pass now and then.
            Self::Link(..) => hold.saturating_add(hold),
            // There is nothing to mend.
            Self::CutConnections(_) | Self::CutClients(_) => Duration::ZERO,
            _ => hold,
        }
    }

    /// Whether processes end of it, and others are started in their places.
    #[must_use]
    pub(super) const fn ends_processes(self) -> bool {
        matches!(self, Self::Kill(_) | Self::KillEverything | Self::Terminate(_) | Self::DieInTheFeed)
    }
}

/// As it is called.
#[must_use]
pub const fn name(service: Service) -> &'static str {
    match service {
        Service::Auth => "auth-service",
        Service::Users => "users-service",
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(service) => write!(f, "{}: kill -9", name(*service)),
            Self::KillEverything => f.write_str("both services: kill -9 of every process"),
            Self::Terminate(service) => write!(f, "{}: SIGTERM", name(*service)),
            Self::Freeze(service) => write!(f, "{}: SIGSTOP, SIGCONT", name(*service)),
            Self::DieInTheFeed => f.write_str("users-service: dies while it applies the feed"),
            Self::Link(Way::ToAuth, trouble) => write!(f, "users-service to auth-service: {trouble}"),
            Self::Link(Way::ToDatabase(service), trouble) => {
                write!(f, "{} to its database: {trouble}", name(*service))
            }
            Self::Link(Way::FromClients(service), trouble) => {
                write!(f, "clients to {}: {trouble}", name(*service))
            }
            Self::CutClients(service) => {
                write!(f, "clients to {}: reset in the middle of calls", name(*service))
            }
            Self::LoseCommits(service, cut) => {
                let when = match cut {
                    Cut::Before => "before it",
                    Cut::During => "during it",
                    Cut::After => "after it, unheard",
                    Cut::Silence => "after it, in silence",
                };
                write!(f, "{} to its database: a connection ends at a commit, {when}", name(*service))
            }
            Self::Occupy(service) => write!(f, "{}'s database: writes locked out", name(*service)),
            Self::Withhold(service) => write!(f, "{}'s database: reads locked out", name(*service)),
            Self::CutConnections(service) => write!(f, "{}'s database: every backend killed", name(*service)),
            Self::FullConnectionTable => f.write_str("PostgreSQL: connection table full"),
            Self::FullDisk(service) => write!(f, "{}'s database: disk full", name(*service)),
            Self::CrashDatabase => f.write_str("PostgreSQL: immediate stop"),
            Self::FreezeDatabase => f.write_str("PostgreSQL: SIGSTOP, SIGCONT"),
            Self::MoveClock(service) => write!(f, "{}: clock 20 s ahead or behind", name(*service)),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refused",
            Self::Partition => "partition",
            Self::Loss => "host gone",
            Self::Reset => "reset",
            Self::Delay => "delay and jitter",
            Self::Trickle => "2,000 bytes a second",
            Self::SwallowReplies => "replies swallowed",
            Self::Garbage => "garbage",
        })
    }
}
