//! Histories written by hand: good ones, and for every rule one that breaks it.
