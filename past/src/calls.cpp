#include "calls.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace past {

using base::Message;
using base::Result;
using base::Task;
using base::TimePoint;

Task<Result<Message>> Calls::call(base::Address to, Message message, TimePoint deadline) {
    const auto peer = to.id;
    const auto waiting = std::make_shared<Waiting>();
    waiting->gather = std::make_shared<Gather<Result<Message>>>(env_.executor);
    struct Listed {
        std::multimap<base::NodeId, std::shared_ptr<Waiting>>& all;
        std::multimap<base::NodeId, std::shared_ptr<Waiting>>::iterator group;
        ~Listed() { all.erase(group); }
    } const listed{waiting_, waiting_.emplace(peer, waiting)};

    base::TaskGroup request{env_.executor};  // ends with us
    spawn(request, waiting->gather, env_.transport.request(std::move(to), std::move(message), deadline));
    const auto suspicious_at = env_.clock.now() + config_.suspect_after;
    const bool dead_before = declared_dead(peer);
    bool suspected = false;
    const auto& answer = waiting->gather->answers.front();
    while (!answer && !waiting->gone) {
        if (!suspected && env_.clock.now() >= suspicious_at) {
            if (dead_before) break;
            suspected = true;
            kbr_.suspect(peer);
            continue;
        }
        // The transport answers at the deadline at the latest.
        const auto until = suspected ? env_.clock.now() + std::chrono::hours{1} : suspicious_at;
        co_await next_answer(env_.clock, waiting->gather, until);
    }
    if (answer) co_return *answer;
    co_return base::Error{base::Errc::unreachable, "node " + peer.short_hex() + ", declared dead"};
}

bool Calls::declared_dead(const base::NodeId& node) const {
    const auto absent = kbr_.absent();
    return std::ranges::any_of(absent, [&](const auto& gone) { return gone.node.id() == node; });
}

void Calls::left(const base::NodeId& node) {
    if (!declared_dead(node)) return;
    const auto [first, last] = waiting_.equal_range(node);
    for (auto at = first; at != last; ++at) {
        at->second->gone = true;
        at->second->gather->changed.pulse();
    }
}

}  // namespace past
