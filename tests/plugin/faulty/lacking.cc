extern "C" int NowhereDefined();

extern "C" int Lacking() { return NowhereDefined(); }
