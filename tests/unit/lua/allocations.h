#ifndef COROD_TESTS_UNIT_LUA_ALLOCATIONS_H_
#define COROD_TESTS_UNIT_LUA_ALLOCATIONS_H_

#include <cstddef>

namespace corod {

// The bytes that `new` has given to this thread so far.
std::size_t BytesNewed();

}  // namespace corod

#endif  // COROD_TESTS_UNIT_LUA_ALLOCATIONS_H_
