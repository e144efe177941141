#include <corod/plugin.h>
