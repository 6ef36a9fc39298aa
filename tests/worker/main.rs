//! The crew over real sockets: tasks handed in at the desk, done at a model upstream that counts.

mod after;
mod crew;
mod doubt;
mod ends;
mod faulty;
mod line;
mod merged;
mod merged_lost;
mod model;
mod restart;
mod rig;
mod runs;
mod stores;
mod undo;
