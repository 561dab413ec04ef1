//! The crash-safe ring between application threads and the writer.
