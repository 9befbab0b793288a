// Questions and messages on their way: along the route to a root until a pointer is met, then straight to a holder.
#include <algorithm>

#include "base/limits.hpp"
#include "codec.hpp"
#include "node_impl.hpp"

namespace tapestry {

using base::Address;
using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

// ---- on the way

bool Node::Impl::forward(const Guid& key, Message& message, const pastry::NodeHandle& /*next*/) {
    if (message.verb() != static_cast<std::uint8_t>(Verb::find)) return false;
    auto find = decode_find(message.header);
    if (!find || root_key(find->object, find->root) != key) return false;
    if (meet(*find, message.payload)) return false;
    if (find->trace) message = encode(*find, message.payload);
    return true;
}

void Node::Impl::deliver(const Guid& key, const pastry::NodeHandle& /*origin*/, Message message, unsigned /*hops*/) {
    if (message.verb() != static_cast<std::uint8_t>(Verb::find)) return;
    auto find = decode_find(message.header);
    if (!find || root_key(find->object, find->root) != key || meet(*find, message.payload)) return;
    Found found{.number = find->number, .root = find->root, .last = true, .way = std::move(find->way)};
    found.certain = settled_ && !table_.known(now(), find->object) && !table_.refuses_somebody(now());
    tell(find->asker, found);
}

// True if the question ends here, or goes on by a task of ours.
bool Node::Impl::meet(Find& find, const base::SharedBytes& payload) {
    if (find.trace && find.way.size() < kMaxWay) find.way.push_back(self());
    auto pointers = table_.find(now(), find.object);
    if (own_.contains(find.object)) pointers.insert(pointers.begin(), Pointer{.publisher = self()});
    std::erase_if(pointers, [&](const Pointer& pointer) {
        return contains(find.tried, pointer.publisher.id) || pointer.publisher.id == find.asker.id;
    });
    if (pointers.empty()) return false;
    ++counters_.finds_answered;
    if (find.send) {
        tasks_.spawn(hand_out(std::move(find), payload, std::move(pointers)));
        return true;
    }
    Found found{.number = find.number, .root = find.root, .last = true, .way = std::move(find.way)};
    for (auto& pointer : pointers) {
        if (found.places.size() < std::min(config_.locations, kMaxPlaces)) {
            found.places.push_back({std::move(pointer.publisher), pointer.delay});
        }
    }
    tell(find.asker, found);
    return true;
}

Task<void> Node::Impl::hand_out(Find find, base::SharedBytes payload, std::vector<Pointer> pointers) {
    Found found{.number = find.number, .root = find.root};
    for (auto& pointer : pointers) {
        if (found.reached == find.count || find.tried.size() == kMaxTried) break;
        find.tried.push_back(pointer.publisher.id);
        if (co_await hand_to(find, payload, std::move(pointer.publisher))) ++found.reached;
    }
    find.count -= found.reached;
    found.last = find.count == 0 || find.tried.size() == kMaxTried;
    if (found.last) found.way = find.way;
    tell(find.asker, found);
    if (found.last) co_return;
    const auto key = root_key(find.object, find.root);  // who else has it is known further on
    kbr_.route(key, encode(find, std::move(payload)));
}

Task<bool> Node::Impl::hand_to(Find find, base::SharedBytes payload, Address holder) {
    const auto id = holder.id;
    if (id == self().id) {
        if (!on_message_) co_return false;
        co_return co_await on_message_(find.object, std::move(find.asker), std::move(payload));
    }
    auto message = encode(Deliver{find.object, find.asker}, std::move(payload));
    const auto answer = co_await call(std::move(holder), std::move(message));
    if (!answer) {
        ++counters_.dead_pointers;
        table_.suspect(find.object, id);
        co_return false;
    }
    const auto delivered = decode_delivered(answer->header);
    if (delivered && delivered->taken) co_return true;
    ++counters_.lies;
    table_.accuse(now(), find.object, id);
    co_return false;
}

Task<Result<Message>> Node::Impl::on_deliver(Message message) {
    BASE_CO_TRY(auto deliver, decode_deliver(message.header));
    Delivered delivered;
    if (own_.contains(deliver.object) && on_message_) {
        delivered.taken = co_await on_message_(deliver.object, std::move(deliver.asker), std::move(message.payload));
    }
    co_return encode(delivered);
}

// ---- asking

void Node::Impl::tell(const Address& asker, const Found& found) {
    auto message = encode(found);
    if (asker.id == self().id) {
        on_found(message);
    } else {
        env_.transport.notify(asker, std::move(message));
    }
}

void Node::Impl::on_found(const Message& message) {
    auto found = decode_found(message.header);
    if (!found) return;
    const auto at = questions_.find(found->number);
    if (at == questions_.end()) return;  // late, or nobody's
    auto& question = *at->second;
    question.places = std::move(found->places);
    if (!found->way.empty()) question.way = std::move(found->way);
    question.reached += found->reached;
    question.last = question.last || found->last;
    question.certain = found->last && found->certain;
    question.changed.pulse();
}

Task<std::shared_ptr<Node::Impl::Question>> Node::Impl::ask(Find find, base::SharedBytes payload, TimePoint deadline) {
    auto question = std::make_shared<Question>(env_.executor);
    find.number = env_.rng.next();  // so that only who saw the question can answer it
    find.asker = self();
    questions_[find.number] = question;
    const auto key = root_key(find.object, find.root);
    const auto number = find.number;
    kbr_.route(key, encode(find, std::move(payload)));
    const auto until = std::min(deadline, now() + config_.find_timeout);
    while (!question->last && now() < until) {
        const auto timer = env_.clock.schedule(until, [question] { question->changed.pulse(); });
        co_await question->changed.wait();
        env_.clock.cancel(timer);
    }
    questions_.erase(number);
    co_return question;
}

Task<Result<Located>> Node::Impl::locate(Guid object, TimePoint deadline, bool trace) {
    if (own_.contains(object)) {
        Located here;
        here.holders.push_back({self(), {}});
        here.way.push_back(self());
        co_return here;
    }
    unsigned certain = 0;
    for (unsigned root = 0; root < config_.roots; ++root) {
        Find find{.object = object, .root = root, .trace = trace};
        const auto question = co_await ask(std::move(find), base::SharedBytes{}, deadline);
        if (!question->places.empty()) {
            Located located{.way = std::move(question->way), .root = root};
            for (auto& place : question->places) located.holders.push_back({std::move(place.holder), place.delay});
            co_return located;
        }
        if (question->certain) ++certain;
    }
    co_return base::Error{certain == config_.roots ? Errc::not_published : Errc::roots_unreachable, object.short_hex()};
}

Task<Result<unsigned>> Node::Impl::send(Guid object, base::SharedBytes message, unsigned replicas, TimePoint deadline) {
    if (message.size() > base::kMaxPayloadBytes) co_return base::Errc::bad_argument;
    Find find{.object = object, .count = std::clamp<unsigned>(replicas, 1, kMaxReplicas), .send = true};
    unsigned reached = 0;
    unsigned certain = 0;
    if (own_.contains(object)) {
        find.tried.push_back(self().id);
        if (co_await hand_to(find, message, self())) ++reached;
    }
    for (unsigned root = 0; root < config_.roots && reached < replicas; ++root) {
        if (root > 0 && reached > 0) break;  // another root would reach the same replicas again
        find.root = root;
        find.count = replicas - reached;
        const auto question = co_await ask(find, message, deadline);
        reached += question->reached;
        if (question->certain) ++certain;
    }
    if (reached > 0) co_return reached;
    co_return base::Error{certain == config_.roots ? Errc::not_published : Errc::roots_unreachable, object.short_hex()};
}

}  // namespace tapestry
