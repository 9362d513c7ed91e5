//! What only this engine does.
