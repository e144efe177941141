#ifndef COROD_SERVER_LUA_EXPRESSION_STAGES_H_
#define COROD_SERVER_LUA_EXPRESSION_STAGES_H_

#include "server/catalog/catalog.h"
#include "server/lua/scripts.h"

namespace corod::lua {

// Adds `map` and `filter`, which evaluate an expression for each value. Both outlive what is created of them.
void AddExpressionStages(Catalog& catalog, Scripts& scripts);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_EXPRESSION_STAGES_H_
