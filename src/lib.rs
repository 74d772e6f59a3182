//! Data structures that live in shared memory: open them by name from any process. No server.
