// error: a coroutine's parameters are of type bool, std::int64_t, double, std::string or corod::Value
#include <string_view>
#include <vector>

#include "server/catalog/registration.h"

namespace corod {

Coroutine Body(std::vector<std::string_view>) { co_return Value(); }

Definition definition = Native("body", 1, &Body).Takes("parameter", "").StopsWhen("resumed");

}  // namespace corod
