using System;
using System.IO;

/// Verifies the requests in the directories that are named, and prints true or false for each.
static class Driver
{
    static void Main(string[] directories)
    {
        foreach (var directory in directories)
        {
            Func<string, string> text = name => File.ReadAllText(Path.Combine(directory, name));
            var body = File.ReadAllBytes(Path.Combine(directory, "body"));
            var verified = WebhookSignature.Verify(text("secret"), text("id"), text("timestamp"), text("signature"), body);
            Console.WriteLine(verified ? "true" : "false");
        }
    }
}
