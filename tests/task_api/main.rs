//! The task API over a desk and a store in memory: every row of its tables, and each answer held to `config/openapi.json`.

mod change;
mod document;
mod events;
mod list;
mod owners;
mod published;
mod raw;
mod result;
mod rig;
mod shaky;
mod status;
mod ticket;
mod waiting;
