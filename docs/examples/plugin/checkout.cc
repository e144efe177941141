// A dialogue: what has been asked so far is where the body stands, and what was answered is in its locals.

#include <corod/plugin.h>

#include <cstdint>
#include <string>
#include <utility>

namespace {

using namespace corod;

// Asks until it gets a text that is not empty.
Coroutine Ask(std::string question) {
  Value answer = co_yield question;
  while (answer.kind() != Value::Kind::kText || answer.AsText().empty()) answer = co_yield "please: " + question;
  co_return answer;
}

Coroutine Checkout(std::int64_t cents) {
  try {
    Value address = co_await YieldFrom(Ask("where to?"));
    Value card = co_await YieldFrom(Ask("which card?"));
    co_return Map{{"address", std::move(address)}, {"card", std::move(card)}, {"cents", cents}};
  } catch (const py::KeyboardInterrupt&) {
    co_return "cancelled";
  }
}

COROD_COROUTINES(catalog) {
  catalog.Add(Native("checkout", 1, &Checkout)
                  .Takes("cents", "what is to be paid", AtLeast(1))
                  .Summary("asks for what an order needs")
                  .Sends("text: the answer", SendsKind::kText)
                  .Yields("text: a question")
                  .Returns("map: the order; \"cancelled\" if KeyboardInterrupt was thrown in")
                  .StopsWhen("all is answered, KeyboardInterrupt is thrown in, or the caller closes it")
                  .NeverBlocks());
}

}  // namespace
