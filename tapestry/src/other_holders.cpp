// A holder asks who else is one: as locate(), but past itself and those it knows.
#include "node_impl.hpp"

namespace tapestry {

using base::Guid;
using base::Result;
using base::Task;
using base::TimePoint;

Task<Result<std::vector<Location>>> Node::Impl::other_holders(Guid object, std::vector<base::NodeId> known,
                                                              TimePoint deadline) {
    known.resize(std::min(known.size(), kMaxTried));
    std::vector<Location> others;
    bool answered = false;
    for (unsigned root = 0; root < config_.roots && others.empty(); ++root) {
        Find find{.object = object, .root = root, .tried = known};
        const auto question = co_await ask(std::move(find), base::SharedBytes{}, deadline);
        answered = answered || question->last;
        for (auto& place : question->places) {
            // An honest node on the way leaves out whom we named; one that does not must not lead us in circles.
            if (place.holder.id == self().id || contains(known, place.holder.id)) continue;
            others.push_back({std::move(place.holder), place.delay});
        }
    }
    if (!answered) co_return base::Error{Errc::roots_unreachable, object.short_hex()};
    co_return others;
}

}  // namespace tapestry
