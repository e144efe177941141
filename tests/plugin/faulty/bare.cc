extern "C" int Bare() { return 0; }
