//! `grpc.health.v1` as it is generated from `proto/`, and its compiled definition.

pub use generated::health_check_response::ServingStatus;
pub use generated::health_client::HealthClient;
pub use generated::health_server::{Health, HealthServer};
pub use generated::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};

/// What reflection shows of it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/grpc.health.v1.bin"));

#[expect(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod generated {
    tonic::include_proto!("grpc.health.v1");
}
