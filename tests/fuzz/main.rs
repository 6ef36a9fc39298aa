//! Fuzz targets, bounded, on any toolchain: what strangers send never panics, and means here what it
//! means to a slow and plain reading of the same bytes. For long runs see `long/README.md`.

mod generate;
mod properties;
mod targets;
