//! See the library.

fn main() -> std::process::ExitCode {
    stipple::run()
}
