//! The end-to-end suite: both services, driven only through gRPC.

mod table;
