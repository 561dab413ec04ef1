# Verifies the requests in the directories that are named, and prints true or false for each.
require_relative "verify"

ARGV.each do |directory|
  parts = %w[secret id timestamp signature body].map { |name| File.binread(File.join(directory, name)) }
  puts verify(*parts)
end
