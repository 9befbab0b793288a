// Coulouris et al., Figure 10.10: "Tapestry routing".
//
// The ways of the drawing are Tapestry's own (digit by digit, to a surrogate); over Pastry they are shorter where a
// leaf set knows the root. So the figure is tested over a KBR that routes as drawn: the layer works over any.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/codec.hpp"
#include "mesh.hpp"

namespace tapestry::testing {
namespace {

/// Key-based routing along drawn lines: from each node to the next, and 4377 is the root.
class DrawnKbr final : public pastry::Kbr {
  public:
    using Handles = std::map<base::NodeId, pastry::NodeHandle>;
    DrawnKbr(base::NodeEnv env, pastry::NodeHandle self, const Handles& next, const Handles& everybody)
        : env_{env}, self_{std::move(self)}, next_{next}, everybody_{everybody} {
        env_.transport.serve(base::Service::pastry, {}, [this](const base::Peer& from, base::Message message) {
            on_message(from, std::move(message));
        });
    }

    [[nodiscard]] const pastry::NodeHandle& self() const override { return self_; }
    void attach(base::Service, pastry::Application* application) override { application_ = application; }
    void route(const base::Guid& key, base::Message message, std::optional<pastry::NodeHandle>) override {
        step(key, self_, std::move(message), 0);
    }
    [[nodiscard]] std::vector<pastry::NextHop> next_hops(const base::Guid&, std::size_t) const override {
        const auto found = next_.find(self_.id());
        return {{found == next_.end() ? self_ : found->second, 2ms}};
    }
    [[nodiscard]] std::vector<pastry::NodeHandle> replica_set(const base::Guid&, std::size_t) const override {
        return {self_};
    }
    base::Task<base::Result<std::vector<pastry::NodeHandle>>> find_replica_set(base::Guid, std::size_t,
                                                                               base::TimePoint) override {
        co_return base::Errc::unsupported;
    }
    [[nodiscard]] std::vector<pastry::NodeHandle> neighbours() const override { return {}; }
    [[nodiscard]] std::vector<pastry::AbsentNode> absent() const override { return {}; }
    [[nodiscard]] bool active() const override { return true; }
    [[nodiscard]] std::optional<pastry::NodeHandle> find(const base::NodeId& node) const override {
        const auto found = everybody_.find(node);
        return found == everybody_.end() ? std::nullopt : std::optional{found->second};
    }

  private:
    void on_message(const base::Peer& from, base::Message message) {
        base::Reader in{message.header};
        const auto key = in.guid();
        const auto hops = in.u8();
        base::Message inner;
        inner.kind = in.u16();
        inner.header = base::to_bytes(in.raw(in.remaining()));
        inner.payload = std::move(message.payload);
        step(key, {from.address, {}}, std::move(inner), hops);
    }
    void step(const base::Guid& key, const pastry::NodeHandle& from, base::Message message, unsigned hops) {
        const auto found = next_.find(self_.id());
        if (found == next_.end()) {
            application_->deliver(key, from, std::move(message), hops);
        } else if (application_->forward(key, message, found->second)) {
            base::Writer out;
            out.guid(key).u8(static_cast<std::uint8_t>(hops + 1)).u16(message.kind).raw(message.header);
            env_.transport.notify(found->second.address,
                                  base::Message{base::Service::pastry, 1, out.take(), std::move(message.payload)});
        }
    }

    base::NodeEnv env_;
    pastry::NodeHandle self_;
    const Handles& next_;
    const Handles& everybody_;
    pastry::Application* application_ = nullptr;
};

class Figure10_10 : public ::testing::Test {
  protected:
    struct Machine {
        Machine(Figure10_10& test, const std::string& digits, base::NodeEnv& env)
            : kbr{env, {test.world.node(test.nodes[digits]).address(), {}}, test.next, test.everybody},
              dolr{env, kbr, test.identities.at(digits), [](const base::NodeId&) { return true; }, config()} {
            dolr.on_message([&test, digits](base::Guid, base::Address, base::SharedBytes) {
                return [](std::string& to, std::string here) -> base::Task<bool> {
                    to = std::move(here);
                    co_return true;
                }(test.received_at, digits);
            });
        }
        static Config config() {
            Config figure;
            figure.roots = 1;
            figure.near_hops = 0;  // pointers on the paths alone
            figure.root_backups = 0;
            return figure;
        }
        DrawnKbr kbr;
        Node dolr;
    };

    Figure10_10() {
        for (const auto& digits : {"4228", "4361", "43fe", "4377", "aa93", "4b4f", "4664", "4a6d", "57ec", "e791"}) {
            const auto identity = identity_of(world.network_id(), digits);
            base::sim::NodeOptions options;
            options.id = base::node_id(identity.key.public_key(), identity.salt);
            nodes[digits] = world.add_node(options).index();
            everybody[*options.id] = {world.node(nodes[digits]).address(), {}};
            identities.emplace(digits, identity);
        }
        const std::map<std::string, std::string> drawn{{"4228", "4361"}, {"4361", "43fe"}, {"43fe", "4377"},
                                                       {"aa93", "4b4f"}, {"4b4f", "4664"}, {"4664", "43fe"},
                                                       {"4a6d", "4361"}, {"57ec", "4a6d"}, {"e791", "aa93"}};
        for (const auto& [from, to] : drawn) next[id(from)] = {world.node(nodes[to]).address(), {}};
        for (const auto& entry : nodes) {
            const auto& digits = entry.first;
            world.node(entry.second).start([this, digits](base::NodeEnv& env) {
                return std::make_unique<Machine>(*this, digits, env);
            });
            dolr(digits).start(true);
        }
        dolr("4228").publish({object});
        dolr("aa93").publish({object});
        world.run_for(2s);
    }

    base::NodeId id(const std::string& digits) { return world.node(nodes.at(digits)).id(); }
    Node& dolr(const std::string& digits) { return world.node(nodes.at(digits)).root<Machine>().dolr; }

    using Known = std::set<std::string>;
    Known publishers_known_at(const std::string& digits) {
        Known known;
        for (const auto& publisher : dolr(digits).pointers_to(object)) known.insert(publisher.short_hex(4));
        return known;
    }

    base::Guid object = *base::Guid::from_prefix("4378");
    base::sim::World world{1};
    std::map<std::string, NodeIndex> nodes;
    std::map<std::string, Identity> identities;
    DrawnKbr::Handles next;
    DrawnKbr::Handles everybody;
    std::string received_at;
};

TEST_F(Figure10_10, EachHopOfThePublishPathsHasTheLocationMapping) {
    EXPECT_EQ(publishers_known_at("4361"), (Known{"4228"}));
    EXPECT_EQ(publishers_known_at("4b4f"), (Known{"aa93"}));
    EXPECT_EQ(publishers_known_at("4664"), (Known{"aa93"}));
    EXPECT_EQ(publishers_known_at("43fe"), (Known{"4228", "aa93"}));
    EXPECT_EQ(publishers_known_at("4377"), (Known{"4228", "aa93"}));
    for (const auto* aside : {"4a6d", "57ec", "e791"}) EXPECT_EQ(publishers_known_at(aside), Known{}) << aside;
}

TEST_F(Figure10_10, MessagesTo4378FollowTheFirstMappingTheyMeet) {
    struct Query {
        std::string from;
        std::vector<std::string> way;
        std::string holder;
    };
    const std::vector<Query> queries{
        {"57ec", {"57ec", "4a6d", "4361"}, "4228"},
        {"4b4f", {"4b4f"}, "aa93"},
        {"e791", {"e791", "aa93"}, "aa93"},  // meets the holder itself
        {"43fe", {"43fe"}, "4228"},          // two mappings: the nearer one
    };
    for (const auto& query : queries) {
        auto& machine = world.node(nodes[query.from]);
        const auto found = *machine.run(dolr(query.from).locate(object, world.now() + 10s, true));
        ASSERT_TRUE(found) << query.from << ": " << found.error().message();
        std::vector<std::string> way;
        for (const auto& hop : found->way) way.push_back(hop.id.short_hex(4));
        EXPECT_EQ(way, query.way);
        EXPECT_EQ(found->holders.front().holder.id.short_hex(4), query.holder) << query.from;
        base::SharedBytes page{base::to_bytes("a page")};
        const auto sent = *machine.run(dolr(query.from).send_to_object(object, page, 1, world.now() + 10s));
        EXPECT_TRUE(sent);
        EXPECT_EQ(received_at, query.holder) << query.from;
    }
}

}  // namespace
}  // namespace tapestry::testing
