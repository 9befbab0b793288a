// Questions and messages on their way: along the route to a root until a pointer is met, then straight to a holder.
#include <algorithm>

#include "node_impl.hpp"
#include "wire/codec.hpp"

namespace tapestry {

using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;

// Whoever asks for a root that no object has is asking for pointers that nobody can take back.
bool Node::Impl::routed_to(const Guid& key, const Find& find) const {
    return find.root < config_.roots && root_key(find.object, find.root) == key;
}

bool Node::Impl::forward(const Guid& key, Message& message, const pastry::NodeHandle& /*next*/) {
    const auto verb = static_cast<Verb>(message.verb());
    if (verb == Verb::found || verb == Verb::arrived) return true;  // answers on their way to who waits for them
    if (verb != Verb::find) return false;
    auto find = decode_find(message.header);
    if (!find || !routed_to(key, *find)) return false;
    if (meet(*find, message.payload)) return false;
    if (find->trace) message = encode(*find, message.payload);
    return true;
}

void Node::Impl::deliver(const Guid& key, const pastry::NodeHandle& origin, Message message, unsigned /*hops*/) {
    if (message.verb() != static_cast<std::uint8_t>(Verb::find)) {
        if (key == self().id) told(origin.id(), message);  // else it was for somebody who is gone
        return;
    }
    auto find = decode_find(message.header);
    if (!find || !routed_to(key, *find) || meet(*find, message.payload)) return;
    tasks_.spawn(answer_as_root(std::move(*find)));
}

// We know nobody. Those beside us may: if we have only just become the root, or if the node that others take for the
// root cannot be heard from here. A message is not kept so long: if they do, it finds them when it comes again.
Task<void> Node::Impl::answer_as_root(Find find) {
    const bool sure = co_await query_neighbours(find.object, root_key(find.object, find.root));
    find.trace = false;  // we are on its way already
    if (!find.send && meet(find, {})) co_return;
    Found found{.number = find.number, .root = find.root, .last = true, .way = std::move(find.way)};
    found.certain = sure && complete_ && !table_.known(now(), find.object, find.asker.id);
    tell(find.asker.id, encode(found), find.round);
}

std::vector<Pointer> Node::Impl::pointers_for(const Find& find) const {
    auto pointers = table_.find(now(), find.object);
    if (own_.contains(find.object)) pointers.insert(pointers.begin(), Pointer{.publisher = self()});
    std::erase_if(pointers, [&](const Pointer& pointer) {
        const auto& id = pointer.publisher.id;
        return contains(find.tried, id) || id == find.asker.id || (id != self().id && !is_member_(id));
    });
    return pointers;
}

// True if the question ends here, or goes on by a task of ours.
bool Node::Impl::meet(Find& find, const base::SharedBytes& payload) {
    if (find.trace && find.way.size() < kMaxWay) find.way.push_back(self());
    table_.expire(now());
    if (find.doubt) look_into(find);
    auto pointers = pointers_for(find);
    if (pointers.empty()) return false;
    if (find.send) return begin_to_hand_out(find, payload, std::move(pointers));
    ++counters_.finds_answered;
    // The nearest, and whoever has published it longest: many that claim to be near do not hide him.
    const auto count = std::min({config_.locations, kMaxPlaces, pointers.size()});
    const auto rest = pointers.begin() + static_cast<std::ptrdiff_t>(count - 1);
    std::iter_swap(rest, std::min_element(rest, pointers.end(),
                                          [](const Pointer& a, const Pointer& b) { return a.since < b.since; }));
    pointers.resize(count);
    Found found{.number = find.number, .root = find.root, .last = true, .way = std::move(find.way)};
    for (auto& pointer : pointers) found.places.push_back({std::move(pointer.publisher), pointer.delay});
    tell(find.asker.id, encode(found), find.round);
    return true;
}

bool Node::Impl::begin_to_hand_out(Find& find, const base::SharedBytes& payload, std::vector<Pointer> pointers) {
    if (handing_out_ >= config_.max_deliveries) return false;
    if (handing_out_bytes_ + payload.size() > config_.max_delivery_bytes) return false;
    ++counters_.finds_answered;
    ++handing_out_;
    handing_out_bytes_ += payload.size();
    tasks_.spawn(hand_out_counted(std::move(find), payload, std::move(pointers)));
    return true;
}

Task<void> Node::Impl::hand_out_counted(Find find, base::SharedBytes payload, std::vector<Pointer> pointers) {
    const auto bytes = payload.size();
    co_await hand_out(std::move(find), std::move(payload), std::move(pointers));
    --handing_out_;
    handing_out_bytes_ -= bytes;
}

Task<void> Node::Impl::hand_out(Find find, base::SharedBytes payload, std::vector<Pointer> pointers) {
    Found found{.number = find.number, .root = find.root};
    for (auto& pointer : pointers) {
        if (found.places.size() == find.count || find.tried.size() == kMaxTried) break;
        find.tried.push_back(pointer.publisher.id);
        if (co_await hand_to(find, payload, pointer)) {
            found.places.push_back({std::move(pointer.publisher), pointer.delay});
        }
    }
    find.count -= static_cast<unsigned>(found.places.size());
    found.last = find.count == 0 || find.tried.size() == kMaxTried;
    if (found.last) found.way = find.way;
    if (found.last || !found.places.empty()) tell(find.asker.id, encode(found), find.round);
    if (found.last) co_return;
    const auto key = root_key(find.object, find.root);  // who else has it is known further on
    kbr_.route(key, encode(find, std::move(payload)));
}

// By the root for which the holder announced it: that is what it is to take back if it does not have it.
Task<bool> Node::Impl::hand_to(Find find, base::SharedBytes payload, Pointer pointer) {
    Deliver deliver{find.object, pointer.root, std::move(find.asker), find.message};
    if (pointer.publisher.id == self().id) return take_message(std::move(deliver), std::move(payload));
    return asked(std::move(deliver), std::move(payload), Verb::deliver, std::move(pointer));
}

/// True if the holder took the message. If it does not have the object its pointer is dropped, if it does not answer it
/// is left out from now on. What we do not understand, of a later version perhaps, is no denial.
Task<bool> Node::Impl::asked(Deliver deliver, base::SharedBytes payload, Verb verb, Pointer pointer) {
    const auto& id = pointer.publisher.id;
    auto message = encode(deliver, std::move(payload), verb);
    const auto answer = co_await call(pointer.publisher, std::move(message));
    if (!answer) {
        if (!is_silence(answer.error())) co_return false;  // it is there, and busy, or does not like the question
        ++counters_.dead_pointers;
        table_.suspect(deliver.object, id);
        co_return false;
    }
    auto said = decode_delivered(*answer);
    if (!said || said->held) co_return false;
    if (said->taken) co_return true;
    co_await take_denial(deliver.object, std::move(pointer), std::move(*said));
    co_return false;
}

/// Somebody was led by pointers to these publishers and found nothing.
void Node::Impl::look_into(const Find& find) {
    for (const auto& pointer : table_.find(now(), find.object)) {
        const auto& id = pointer.publisher.id;
        if (!contains(find.tried, id) || checking_.size() >= config_.max_checks) continue;
        if (!checking_.emplace(find.object, id).second) continue;
        tasks_.spawn(check(find.object, pointer));
    }
}

Task<void> Node::Impl::check(Guid object, Pointer pointer) {
    const auto id = pointer.publisher.id;
    Deliver question{.object = object, .root = pointer.root, .asker = {}, .message = 0};
    (void)co_await asked(std::move(question), {}, Verb::have, std::move(pointer));
    checking_.erase({object, id});
}

// What the holder signed when it was asked goes on to the root as if it had withdrawn by itself.
Task<void> Node::Impl::take_denial(Guid object, Pointer pointer, Delivered delivered) {
    const auto& holder = pointer.publisher.id;
    if (delivered.withdrawal && is_ahead(*delivered.withdrawal)) {
        // Its stamp, noted, would make old of all that the holder says by a right clock; and it is no lie.
        table_.suspect(object, holder);
        co_return;
    }
    Denial denial{
        .object = object, .publisher = holder, .announced = pointer.stamp, .withdrawal = {}, .born = delivered.born};
    if (delivered.withdrawal && acceptable(*delivered.withdrawal)) {
        auto check = [withdrawal = *delivered.withdrawal, network = identity_.network] {
            return withdrawal.verify(network).has_value();
        };
        if (co_await env_.workers.run(std::move(check))) denial.withdrawal = delivered.withdrawal->detached();
    }
    const auto lies = table_.lies_of(holder);
    const bool news = table_.denied(now(), denial);
    if (table_.lies_of(holder) > lies) ++counters_.lies;
    ++counters_.denials;
    if (!news) co_return;
    std::vector<Parcel> parcels;
    parcels.push_back({.announcement = std::move(*denial.withdrawal), .range = {0, 1}});
    pass_on(std::move(parcels));
}

Task<Result<Message>> Node::Impl::on_deliver(Message message) {
    BASE_CO_TRY(auto deliver, decode_deliver(message.header));
    if (deliver.root >= config_.roots) co_return base::Errc::bad_argument;
    const auto object = deliver.object;
    const auto root = deliver.root;
    const bool taken = co_await take_message(std::move(deliver), std::move(message.payload));
    if (taken) co_return encode(Delivered{.taken = true, .held = false, .born = born_, .withdrawal = {}});
    co_return encode(state_of(object, root));
}

Result<Message> Node::Impl::on_have(const Message& message) {
    BASE_TRY(const auto deliver, decode_deliver(message.header));
    if (deliver.root >= config_.roots) return base::Errc::bad_argument;  // we could not sign that we do not have it
    return encode(state_of(deliver.object, deliver.root));
}

/// What we say when we are asked for an object: that we have it, or, signed, that we do not.
Delivered Node::Impl::state_of(const Guid& object, unsigned root) {
    Delivered said{.taken = false, .held = own_.contains(object), .born = born_, .withdrawal = {}};
    if (!said.held) said.withdrawal = sign(root, std::chrono::seconds{0}, {&object, 1});
    return said;
}

/// While a message's handler runs, its other copies wait for what becomes of it.
class Node::Impl::BeingTaken {
  public:
    BeingTaken(Impl& impl, Taken taken)
        : all_{impl.being_taken_}, taken_{std::move(taken)}, over_{std::make_shared<base::Event>(impl.env_.executor)} {
        (*all_)[taken_] = over_;
    }
    ~BeingTaken() {
        all_->erase(taken_);
        over_->set();
    }
    BeingTaken(const BeingTaken&) = delete;
    BeingTaken& operator=(const BeingTaken&) = delete;

  private:
    std::shared_ptr<Handlers> all_;
    Taken taken_;
    std::shared_ptr<base::Event> over_;
};

void Node::Impl::remember_taken(const Taken& taken) {
    taken_.insert(taken);
    taken_order_.push_back(taken);
    if (taken_order_.size() <= config_.remembered_messages) return;
    taken_.erase(taken_order_.front());
    taken_order_.pop_front();
}

// Once, however often it comes: an asker who hears nothing tries again.
Task<bool> Node::Impl::take_message(Deliver deliver, base::SharedBytes message) {
    const Taken taken{deliver.asker.id, deliver.message, deliver.object};
    for (auto first = being_taken_->find(taken); first != being_taken_->end(); first = being_taken_->find(taken)) {
        const auto over = first->second;
        co_await over->wait();
    }
    if (taken_.contains(taken)) co_return true;
    if (!own_.contains(deliver.object) || !on_message_) co_return false;
    if (const auto known = kbr_.find(deliver.asker.id)) {
        deliver.asker = known->address;
    } else if (!is_member_(deliver.asker.id)) {
        deliver.asker.endpoint.clear();  // what a stranger's question said; we do not pass it on as an address
    }
    const auto object = deliver.object;
    const BeingTaken being_taken{*this, taken};
    const bool held = co_await on_message_(object, std::move(deliver.asker), std::move(message));
    if (held) {
        remember_taken(taken);
    } else {
        unpublish({object});
    }
    co_return held;
}

}  // namespace tapestry
