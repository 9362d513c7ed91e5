//! Everything that can be found to be wrong, one by one. A deliberate defect stands behind each (see [`crate::mutants`]).

use std::fmt;

use test_kit::Invariant;

macro_rules! checks {
    ($($(#[doc = $says:literal])+ $name:ident breaks $invariant:ident,)+) => {
        /// A check, by what it finds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $($(#[doc = $says])+ $name,)+
        }

        impl Check {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What is broken when it finds something.
            #[must_use]
            pub const fn invariant(self) -> Invariant {
                match self {
                    $(Self::$name => Invariant::$invariant,)+
                }
            }
        }
    };
}

checks! {
    /// A role is shown, believed or stored that nobody can have given.
    RoleNobodyGave breaks I1,
    /// A state is stored that nobody can have set.
    StateNobodySet breaks I1,
    /// A state is shown that nobody can have set.
    ShownStateNobodySet breaks I1,
    /// Somebody who was made is not found.
    UserNotFound breaks I1,
    /// Somebody who was made is not in a list of everybody.
    UserNotListed breaks I1,
    /// Somebody is twice in a list.
    ListedTwice breaks I1,
    /// Somebody who was made is not stored.
    MadeAndNotStored breaks I1,
    /// A session that was opened, and that nobody can have ended, is not stored.
    OpenedAndNotStored breaks I1,
    /// A session ends sooner than was said when it was renewed.
    RenewedAndNotStored breaks I1,

    /// An account has no user.
    AccountWithoutUser breaks I2,
    /// A user has no account.
    UserWithoutAccount breaks I2,
    /// A user is not as its account is.
    SidesDisagree breaks I2,

    /// Somebody is let in while it is inactive.
    LetInWhileInactive breaks I3,
    /// Somebody does what its role does not allow.
    LetInBelowItsRole breaks I3,
    /// A session lets in after its user was inactivated.
    OutlivesInactivation breaks I3,
    /// A session is stored after its user was inactivated.
    StoredAfterInactivation breaks I3,
    /// A session of which nobody was told is stored after its user was inactivated.
    UntoldAfterInactivation breaks I3,
    /// A session is stored of somebody who is inactive, or of nobody.
    StoredOfTheInactive breaks I3,

    /// A session lets in after it was ended.
    OutlivesItsEnd breaks I4,
    /// A session lets in after it was refused as ended.
    EndedIsBack breaks I4,
    /// A session is stored after it was ended.
    StoredAfterItsEnd breaks I4,

    /// A session lets in after the password was changed.
    OutlivesItsPassword breaks I5,
    /// A session is stored after the password was changed.
    StoredAfterItsPassword breaks I5,
    /// A session of which nobody was told is stored after the password was changed.
    UntoldAfterItsPassword breaks I5,
    /// A password of before opens a session.
    OldPasswordOpens breaks I5,

    /// A name was made twice, by calls that ask for different things.
    NameMadeTwice breaks I6,
    /// A name is shown with two ids.
    NameShownWithTwoIds breaks I6,
    /// A name is stored twice.
    NameStoredTwice breaks I6,

    /// No super admin is active, and one was.
    NoSuperAdmin breaks I7,
    /// At some moment no super admin was active, after one was.
    NoSuperAdminMeanwhile breaks I7,
    /// Somebody is acted on by whoever does not outrank it.
    ActsOnAHigherRank breaks I7,

    /// A repeat made another user.
    RepeatMadeAnother breaks I8,
    /// A name is taken, and only by the call of which this is a repeat, or by nobody.
    NameTakenByNobodyElse breaks I8,
    /// A repeat is told that its mark is that of another request.
    RepeatNotRecognised breaks I8,
    /// A change by an etag that is not the newest is done.
    StaleEtagAccepted breaks I8,
    /// A change by the newest etag is refused.
    FreshEtagRefused breaks I8,
    /// Somebody is stored whom nobody can have made.
    StoredAndNotMade breaks I8,

    /// A token that nobody signed lets in.
    ForgedTokenLetsIn breaks I9,
    /// A password that was never set opens a session.
    UnknownPasswordOpens breaks I9,
    /// Whoever calls is taken for somebody else, or whoever is asked for.
    TakenForSomebodyElse breaks I9,
    /// More guesses at a password are looked at than may be.
    TooManyGuesses breaks I9,

    /// An answer is none that there is.
    AnswerIsNone breaks I10,
    /// A call is refused for what it cannot be refused for.
    DenialOfAnotherCall breaks I10,
    /// Nothing fails, and a call is not refused for what it must be refused for.
    DenialMissing breaks I10,
    /// Whoever needs no token is refused for it.
    RefusedForItsToken breaks I10,
    /// An outage is answered and nothing fails.
    OutageOfNothing breaks I10,
    /// Somebody is refused as inactive, and is not.
    RefusedAsInactive breaks I10,
    /// The right password is refused.
    RightPasswordRefused breaks I10,
    /// A right is refused that the caller has.
    RightRefused breaks I10,
    /// A session is refused that nobody can have ended.
    SessionRefused breaks I10,
    /// After a fault a process does not do any more what an admin may ask for.
    NotBack breaks I10,
    /// Nothing has failed yet, and there is no super admin to be had, or no admin.
    NobodyCanBegin breaks I10,
    /// Nothing fails, and an operator cannot make a second super admin.
    NoSecondSuperAdmin breaks I10,
    /// Nothing fails, and neither of two super admins can be demoted.
    NobodyCanBeDemoted breaks I10,
    /// A process that is asked to end does so as if something were wrong.
    EndsBadly breaks I10,
    /// A process has died that nobody has ended: somebody else has to start it again.
    DiedByItself breaks I10,
    /// Something in a process has panicked: what that was to do goes on, if it does, by chance.
    Panicked breaks I10,

    /// A secret is in a log.
    SecretInLog breaks I11,
    /// A secret is in what callers, operators or the database are told besides.
    SecretTold breaks I11,

    /// More sessions are stored of which nobody was told than there can be.
    UntoldSessions breaks I12,
    /// A table has more rows than the calls account for.
    SurplusRows breaks I12,
    /// A process has more and more files and sockets.
    Descriptors breaks I12,
    /// A process has more and more memory.
    Memory breaks I12,
    /// A process has more and more tasks.
    Tasks breaks I12,
    /// A metric is missing by which one would see that.
    MetricMissing breaks I12,
    /// A service has more connections to its database than it may.
    Connections breaks I12,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
