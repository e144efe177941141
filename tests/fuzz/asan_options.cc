// What AddressSanitizer looks for in the fuzz targets by default; ASAN_OPTIONS goes before it.

// Frames that are used after their function has returned are looked for by the unit tests: bodies throw so often that
// it takes a third of the time here.
extern "C" const char* __asan_default_options();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __asan_default_options() { return "detect_stack_use_after_return=0"; }
