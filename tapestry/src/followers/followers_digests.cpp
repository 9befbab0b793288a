// From parents to children: that the parent is there, how it stands, what is newest.
//
// A top raises its round with each of its digests; whoever rises passes that on at once, so the round runs down the
// tree as a wave. Where the wave is interrupted, digests go on, a little slower, and say what was last true.
#include "base/wait.hpp"
#include "followers/followers_impl.hpp"
#include "wire/codec_followers.hpp"

namespace tapestry {

using base::Address;
using base::Errc;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;

namespace {

constexpr unsigned kMostMissed = 2;

}  // namespace

Task<void> Followers::Impl::send_digests(FollowedPtr followed) {
    while (!followed->gone) {
        const bool top = followed->tree.top();
        if (top) followed->tree.next_round();
        for (const auto& child : children_of(*followed)) {
            const auto [under_way, fresh] = followed->digesting.try_emplace(child.id, false);
            if (fresh) {
                tasks_.spawn(digest_to(followed, child));
            } else {
                under_way->second = true;
            }
        }
        const auto period = top ? config_.digest_period : config_.digest_period * 11 / 10;
        co_await base::wait_until(env_.clock, followed->digest_wake, now() + period);
    }
}

/// As they are now: whoever is sent something may be one no more when that returns.
std::vector<Address> Followers::Impl::children_of(const Followed& followed) {
    std::vector<Address> children;
    for (const auto& [id, child] : followed.tree.children()) children.push_back(child.address);
    return children;
}

Task<void> Followers::Impl::digest_to(FollowedPtr followed, Address child) {
    const auto id = child.id;
    bool again = true;
    while (again && !followed->gone && followed->tree.child(id) != nullptr) {
        followed->digesting[id] = false;
        auto message = encode(Digest{followed->object, standing(*followed), followed->tree.child(id)->evicted});
        const auto began = now();
        const auto answer = co_await call(child, std::move(message), config_.call_timeout);
        if (take_answer(*followed, id, answer, now() - began)) pump(followed, child);
        again = followed->digesting[id];
    }
    followed->digesting.erase(id);
}

/// Whether it is still a child.
bool Followers::Impl::take_answer(Followed& followed, const NodeId& id, const Result<Message>& answer,
                                  base::Duration rtt) {
    auto* child = followed.tree.child(id);
    if (child == nullptr) return false;
    const auto digested = answer ? decode_digested(*answer) : Result<Digested>{answer.error()};
    if (digested && digested->yours) {
        child->missed = 0;
        child->rtt = rtt;
        child->children = digested->children;
        neighbour_has(followed, id, digested->sequence);
        return true;
    }
    // It says so, or it has been revoked.
    const bool gone = digested || digested.error() == Errc::not_found || digested.error() == Errc::not_a_member;
    if (gone || ++child->missed >= kMostMissed) followed.tree.drop_child(id);
    return false;
}

Result<Message> Followers::Impl::on_digest(const Address& from, const Message& message) {
    BASE_TRY(auto digest, decode_digest(message));
    const auto followed = find(digest.object);
    if (!followed) return base::Error{Errc::not_found, digest.object.short_hex()};
    Digested digested{.yours = true, .sequence = followed->newest.sequence};
    digested.children = static_cast<std::uint32_t>(followed->tree.children().size());
    switch (followed->tree.hear(now(), from.id, std::move(digest.standing))) {
        case FollowTree::Heard::fallen: lose_parent(*followed); [[fallthrough]];
        case FollowTree::Heard::stranger: digested.yours = false; break;
        case FollowTree::Heard::changed: followed->digest_wake->pulse(); break;
        case FollowTree::Heard::outdated:
        case FollowTree::Heard::same: break;
    }
    if (digested.yours && digest.evicted) evicted(*followed);
    if (digested.yours) pump(followed, from);  // what it does not have, if anything
    return encode(digested);
}

}  // namespace tapestry
